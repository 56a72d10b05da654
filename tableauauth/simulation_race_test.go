//go:build race

package tableauauth

// simDefaultSeeds is how many days are simulated: fewer with the race detector,
// which makes them ten times as long.
const simDefaultSeeds = 60
