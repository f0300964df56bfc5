package pubsub_test

const childEnv = "CONCORD_PUBSUB_CHILD"

func child() {}
