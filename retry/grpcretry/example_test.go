package grpcretry_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/grpcretry"
)

func ExampleNew() {
	policy, err := retry.New(&retry.Options{Attempts: 4, Delay: time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///127.0.0.1:1", // where nobody listens
		append(grpcretry.New(policy, nil).DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	err = conn.Invoke(context.Background(), "/orders.Orders/Place", new(emptypb.Empty), new(emptypb.Empty))
	gaveUp, ok := errors.AsType[*retry.Error](err)
	fmt.Println(ok, status.Code(err) == codes.Unavailable)
	fmt.Println(gaveUp.Attempts, gaveUp.NotApplied())
	// Output:
	// true true
	// 4 true
}
