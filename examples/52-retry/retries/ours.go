package retries

import "github.com/concordkit/concord/retry"

// spare is how many retries a process may have in hand, and how many more come each second: together a fifth of the clients.
const spare = clients / processes / 5

// jittered waits for as long as the loop at most, and for any time below that as well.
func jittered() (do, error) { return policy(nil) }

// budgeted is for one process, whose clients share what retries there may be.
func budgeted() (do, error) {
	b, err := retry.NewBudget("shop", &retry.BudgetOptions{Max: spare, PerSecond: spare})
	if err != nil {
		return nil, err
	}
	return policy(b)
}

func policy(b retry.Budget) (do, error) {
	p, err := retry.New(&retry.Options{Attempts: attempts, Delay: delay, MaxDelay: maxDelay, Budget: b})
	if err != nil {
		return nil, err
	}
	return p.Do, nil
}
