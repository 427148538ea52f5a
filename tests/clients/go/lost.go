package main

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
)

// IsLost tells whether a request got no answer, or one of a server that has just started or is late. Whether a write
// was made is then unknown.
func isLost(err error) bool {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case apierrors.IsServiceUnavailable(err), apierrors.IsTimeout(err), utilnet.IsConnectionReset(err), utilnet.IsConnectionRefused(err),
		utilnet.IsHTTP2ConnectionLost(err), utilnet.IsProbableEOF(err), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	return errors.As(err, &network)
}

// RetryLost asks until there is an answer.
func retryLost(ctx context.Context, ask func() error) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		last = ask()
		return last == nil || !isLost(last), nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return last
}
