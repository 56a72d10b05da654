//go:build !race

package tableauauth

// simDefaultSeeds is how many days are simulated.
const simDefaultSeeds = 500
