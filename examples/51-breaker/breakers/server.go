package breakers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"
)

// server is an [http.RoundTripper] that plays the server as well, so that no port is needed. It answers as its handler
// does, which the scenes replace. One goroutine at a time may use it.
type server struct {
	handler http.HandlerFunc
	reached int // how many requests came
}

// RoundTrip implements [http.RoundTripper].
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.reached++
	answer := httptest.NewRecorder()
	s.handler(answer, r)
	if err := r.Context().Err(); err != nil { // the caller has gone before the answer came
		return nil, err
	}
	return answer.Result(), nil
}

// price asks for a price. The request, the status or the body may be at fault.
func price(ctx context.Context, client *http.Client) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shop.example/prices", nil)
	if err != nil {
		return 0, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK { // without this, an answer of 503 would be a success
		return 0, fmt.Errorf("prices: %s", answer.Status)
	}
	var prices []int
	if err := json.NewDecoder(answer.Body).Decode(&prices); err != nil {
		return 0, err
	}
	return prices[0], nil // there has always been one
}

func well(w http.ResponseWriter, _ *http.Request)    { io.WriteString(w, "[42]") }
func soldOut(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") }
func failing(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

// slow answers after 1 s, which nobody here waits for.
func slow(w http.ResponseWriter, r *http.Request) {
	if sleep(r.Context(), time.Second) == nil {
		well(w, r)
	}
}

// limping fails every second time.
func limping() http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		if n++; n%2 == 0 {
			failing(w, r)
			return
		}
		well(w, r)
	}
}
