package httpbreaker_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/httpbreaker"
)

func ExampleNew() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()

	hosts, err := breaker.NewSet(&breaker.SetOptions{
		Breaker: breaker.Options{Rules: breaker.Rules{Consecutive: 2}},
	})
	if err != nil {
		log.Fatal(err)
	}
	transport, err := httpbreaker.New(hosts, nil)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	for range 3 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println(errors.Is(err, breaker.ErrOpen))
			continue
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	// Output:
	// 503
	// 503
	// true
}
