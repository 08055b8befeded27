package main

import (
	"encoding/json"
	"errors"

	"github.com/actions/scaleset"
)

// request is one line of input: an operation by name, with its arguments.
type request struct {
	ID   int             `json:"id"`
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args"`
}

// reply is one line of output: what the operation gave, or how it failed.
type reply struct {
	ID    int      `json:"id"`
	OK    bool     `json:"ok"`
	Value any      `json:"value,omitempty"`
	Error *failure `json:"error,omitempty"`
}

// failure names the kind of an error, so that two clients can be compared, and keeps its text for people.
type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// errUsage marks a line that asks for something this program cannot do.
var errUsage = errors.New("usage")

func describe(err error) *failure {
	kinds := []struct {
		err  error
		name string
	}{
		{errUsage, "usage"},
		{scaleset.RunnerNotFoundError, "runner_not_found"},
		{scaleset.RunnerExistsError, "runner_exists"},
		{scaleset.JobStillRunningError, "job_still_running"},
		{scaleset.MessageQueueTokenExpiredError, "queue_token_expired"},
	}
	for _, kind := range kinds {
		if errors.Is(err, kind.err) {
			return &failure{Kind: kind.name, Message: err.Error()}
		}
	}
	return &failure{Kind: "error", Message: err.Error()}
}
