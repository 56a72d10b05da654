package main

// This file reduces many readings to a median and a spread.

import (
	"fmt"
	"slices"
)

// A spread is the median of readings with the least and the greatest.
type spread struct {
	Median, Min, Max float64
	N                int
}

func spreadOf(readings []float64) spread {
	if len(readings) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(readings))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1], N: len(sorted)}
}

// format writes the spread with a verb such as %.2f; a dash if nothing was read.
func (s spread) format(verb string) string {
	if s.N == 0 {
		return "-"
	}
	return fmt.Sprintf(verb+" ["+verb+"..."+verb+"]", s.Median, s.Min, s.Max)
}

// over reads one number of each item.
func over[T any](items []T, number func(T) float64) spread {
	readings := make([]float64, 0, len(items))
	for _, item := range items {
		readings = append(readings, number(item))
	}
	return spreadOf(readings)
}
