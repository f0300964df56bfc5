package httpretry_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/httpretry"
)

func ExampleNew() {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "here you are")
	}))
	defer server.Close()

	policy, err := retry.New(&retry.Options{Attempts: 4, Delay: time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	transport, err := httpretry.New(policy, nil)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	resp, err := client.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(calls.Load(), resp.StatusCode, string(body), err)
	// Output: 3 200 here you are <nil>
}

func ExampleNewHedge() {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			<-r.Context().Done() // a slow one
			return
		}
		fmt.Fprint(w, "here you are")
	}))
	defer server.Close()

	hedge, err := httpretry.NewHedge(&httpretry.HedgeOptions{
		When: retry.HedgeOptions[*http.Response]{Delay: 10 * time.Millisecond},
	})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: hedge}
	resp, err := client.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err)
	// Output: here you are <nil>
}
