package fence_test

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
)

func ExampleGuard() {
	var guard fence.Guard
	balance := 0
	late := guard.Do("account-7", 34, func() error { balance = 100; return nil })
	fmt.Println(late, balance)
	err := guard.Do("account-7", 33, func() error { balance = 0; return nil })
	fmt.Println(errors.Is(err, fence.ErrStale), balance)
	// Output:
	// <nil> 100
	// true 100
}

func ExampleColumn() {
	fenced := fence.Column("token")
	fmt.Println("UPDATE accounts SET balance = $1, " + fenced.Set("$2") + " WHERE id = $3 AND " + fenced.Allows("$2"))
	// Output: UPDATE accounts SET balance = $1, token = $2 WHERE id = $3 AND token <= $2
}

func nothing() error { return nil }

func TestGuard(t *testing.T) {
	var g fence.Guard
	require.NoError(t, g.Do("a", 5, nothing))
	require.NoError(t, g.Do("a", 5, nothing), "the same holder may write again")
	require.ErrorIs(t, g.Do("a", 4, nothing), fence.ErrStale)
	require.NoError(t, g.Do("b", 4, nothing), "names are independent")
	broken := errors.New("broken")
	require.ErrorIs(t, g.Do("a", 7, func() error { return broken }), broken)
	require.ErrorIs(t, g.Do("a", 6, nothing), fence.ErrStale, "a token is seen even if its write fails")
	require.ErrorIs(t, g.Do("a", 0, nothing), lock.ErrInvalid)
}

func TestGuardRunsOneWriteAtATime(t *testing.T) {
	var g fence.Guard
	var wg sync.WaitGroup
	sum, want := 0, 0 // a data race unless guarded
	for i := range 50 {
		want++
		wg.Go(func() {
			for g.Do("a", lock.Token(100+i), func() error { sum++; return nil }) != nil {
				i = 50 // a later holder was faster: come back as the last
			}
		})
	}
	wg.Wait()
	require.Equal(t, want, sum)
}

func TestColumnTakesPlainIdentifiersOnly(t *testing.T) {
	for _, good := range []string{"token", "accounts.token", "_t1"} {
		require.Equal(t, good+" <= ?", fence.Column(good).Allows("?"))
	}
	for _, bad := range []string{"", "1", "a b", "a;DROP TABLE b", "a--", `"a"`, "a.", "ü"} {
		require.Contains(t, fence.Column(bad).Set("?"), "not a plain identifier", bad)
		require.Contains(t, fence.Column(bad).Allows("?"), "not a plain identifier", bad)
	}
}

func TestColumnWrote(t *testing.T) {
	c := fence.Column("token")
	require.NoError(t, c.Wrote(driver.RowsAffected(1), nil))
	require.ErrorIs(t, c.Wrote(driver.RowsAffected(0), nil), fence.ErrStale)
	broken := errors.New("broken")
	require.ErrorIs(t, c.Wrote(nil, broken), broken)
	require.Error(t, c.Wrote(driver.ResultNoRows, nil))
}

func TestTokenIsADriverValue(t *testing.T) {
	v, err := driver.DefaultParameterConverter.ConvertValue(lock.Token(1<<53 - 1))
	require.NoError(t, err)
	require.Equal(t, int64(1<<53-1), v)
}
