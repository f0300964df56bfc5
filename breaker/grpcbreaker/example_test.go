package grpcbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/concordkit/concord/breaker"
	"github.com/concordkit/concord/breaker/grpcbreaker"
)

func ExampleNew() {
	targets, err := breaker.NewSet(nil)
	if err != nil {
		log.Fatal(err)
	}
	guard, err := grpcbreaker.New(targets, nil)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///orders",
		append(guard.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	targets.Get("passthrough:///orders").ForceOpen("migration")
	err = conn.Invoke(context.Background(), "/orders.Orders/Get", new(emptypb.Empty), new(emptypb.Empty))
	fmt.Println(errors.Is(err, breaker.ErrOpen), status.Code(err) == codes.Unavailable)
	// Output: true true
}
