package pubsub_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// seen is what a subscriber got: message n of a publisher, or a gap.
type seen struct {
	publisher string
	n         int
	gap       bool
}

// record is what a publisher sent: 0 to n-1, in order. Of those that are vague it was told that they may not have arrived.
type record struct {
	n     int
	vague map[int]bool
}

// judge checks what a subscriber of all publishers got. Nothing comes twice or out of order, and what is missing is vague, or lies
// beside a gap: after the message before it and before the one after it. It returns how many are missing.
func judge(got []seen, sent map[string]record) (missing int, err error) {
	next, gapSince := map[string]int{}, map[string]bool{}
	lost := func(p string, from, to int) error {
		missing += to - from
		for n := from; n < to && !gapSince[p]; n++ {
			if !sent[p].vague[n] {
				return fmt.Errorf("%s/%d, of %d to %d, is lost without a word", p, n, from, to-1)
			}
		}
		return nil
	}
	for i, s := range got {
		if s.gap {
			for p := range sent {
				gapSince[p] = true
			}
			continue
		}
		p, want := s.publisher, next[s.publisher]
		switch {
		case s.n >= sent[p].n:
			return 0, fmt.Errorf("%s/%d at %d was never sent", p, s.n, i)
		case s.n < want:
			return 0, fmt.Errorf("%s/%d at %d came after %d", p, s.n, i, want-1)
		}
		if err := lost(p, want, s.n); err != nil {
			return 0, err
		}
		next[p], gapSince[p] = s.n+1, false
	}
	for p, r := range sent {
		if err := lost(p, next[p], r.n); err != nil {
			return 0, err
		}
	}
	return missing, nil
}

func TestJudge(t *testing.T) {
	m := func(n int) seen { return seen{"a", n, false} }
	gap, other := seen{gap: true}, seen{"b", 0, false}
	sent := map[string]record{"a": {n: 4}}
	for _, c := range []struct {
		got     []seen
		missing int
		wrong   string
	}{
		{[]seen{m(0), m(1), m(2), m(3)}, 0, ""},
		{[]seen{m(0), gap, m(3)}, 2, ""},
		{[]seen{gap, m(2), m(3)}, 2, ""},
		{[]seen{m(0), m(1), gap}, 2, ""},
		{[]seen{m(0), gap, m(1), m(2), m(3)}, 0, ""},
		{[]seen{m(0), m(3)}, 0, "is lost without a word"},
		{[]seen{m(1), m(2), m(3)}, 0, "is lost without a word"},
		{[]seen{m(0), m(1)}, 0, "is lost without a word"},
		{[]seen{}, 0, "is lost without a word"},
		{[]seen{m(0), gap, m(1), m(3)}, 0, "is lost without a word"}, // the gap is elsewhere
		{[]seen{gap, m(0), m(1), m(3)}, 0, "is lost without a word"},
		{[]seen{m(0), m(2), gap, m(3)}, 0, "is lost without a word"},
		{[]seen{m(0), m(1), m(1), m(2), m(3)}, 0, "came after"},
		{[]seen{m(0), gap, m(0), m(1)}, 0, "came after"},
		{[]seen{m(0), m(2), m(1), m(3)}, 0, "is lost without a word"},
		{[]seen{m(0), gap, m(2), m(1), m(3)}, 0, "came after"},
		{[]seen{m(0), m(1), m(2), m(3), m(4)}, 0, "never sent"},
		{[]seen{m(0), m(1), m(2), m(3), other}, 0, "never sent"},
	} {
		missing, err := judge(c.got, sent)
		if c.wrong == "" {
			require.NoError(t, err, "%v", c.got)
			require.Equal(t, c.missing, missing, "%v", c.got)
		} else {
			require.ErrorContains(t, err, c.wrong, "%v", c.got)
		}
	}
	sent = map[string]record{"a": {4, map[int]bool{1: true}}}
	missing, err := judge([]seen{m(0), m(2), m(3)}, sent)
	require.NoError(t, err, "the publisher knows")
	require.Equal(t, 1, missing)
	_, err = judge([]seen{m(0), m(3)}, sent)
	require.ErrorContains(t, err, "a/2, of 1 to 2, is lost without a word")
}
