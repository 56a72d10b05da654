// Package clients runs real clients of Tableau, as people install them from
// PyPI and npm, against the real binary as a process of its own, with a
// simulated Tableau behind it. None of the clients is changed, and none knows
// that there is a proxy: each signs in as it always does. It holds tests only.
// docs/clients.md lists what they show.
package clients
