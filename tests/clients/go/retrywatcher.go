package main

import (
	"context"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"
	"k8s.io/sample-apiserver/pkg/apis/wardle/v1beta1"
)

type retryWatcher struct {
	// What it saw, up to the sentinel.
	seen chan seenChanges
}

type seenChanges struct {
	changes []change
	err     error
}

func startRetryWatcher(ctx context.Context, config *rest.Config, from string) (*retryWatcher, error) {
	client, err := flundersOf(config, churnNamespace)
	if err != nil {
		return nil, err
	}
	source := &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, options)
		},
	}
	watcher, err := toolswatch.NewRetryWatcherWithContext(ctx, from, source)
	if err != nil {
		return nil, err
	}
	it := &retryWatcher{seen: make(chan seenChanges, 1)}
	go func() {
		defer watcher.Stop()
		changes, err := read(watcher)
		it.seen <- seenChanges{changes, err}
	}()
	return it, nil
}

// Read up to the sentinel, each version greater than the one before.
func read(watcher watch.Interface) ([]change, error) {
	var changes []change
	var last uint64
	for event := range watcher.ResultChan() {
		flunder, is := event.Object.(*v1beta1.Flunder)
		if !is {
			return nil, fmt.Errorf("%s with %+v", event.Type, event.Object)
		}
		if event.Type == watch.Bookmark {
			continue
		}
		now, err := version(flunder)
		if err != nil {
			return nil, err
		}
		if now <= last {
			return nil, fmt.Errorf("%s of %s at %d after %d", event.Type, flunder.Name, now, last)
		}
		last = now
		number, err := strconv.Atoi(flunder.Annotations[step])
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{flunder.Name, event.Type, number, now})
		if flunder.Name == sentinel {
			return changes, nil
		}
	}
	return nil, fmt.Errorf("it ended after %d changes", len(changes))
}

// Compare what it saw with what was done: each object's changes, each once and in their order.
func (it *retryWatcher) compare(ctx context.Context, journal []change) error {
	var seen seenChanges
	select {
	case seen = <-it.seen:
	case <-ctx.Done():
		return ctx.Err()
	}
	if seen.err != nil {
		return seen.err
	}
	left := map[string][]change{}
	for _, made := range journal {
		left[made.Name] = append(left[made.Name], made)
	}
	for _, it := range seen.changes {
		wanted := left[it.Name]
		if len(wanted) == 0 {
			return fmt.Errorf("nobody made %+v", it)
		}
		made := wanted[0]
		if made.Version == 0 {
			made.Version = it.Version
		}
		if made != it {
			return fmt.Errorf("%+v was made, %+v was seen", made, it)
		}
		left[it.Name] = wanted[1:]
	}
	for _, unseen := range left {
		if len(unseen) > 0 {
			return fmt.Errorf("%+v was not seen", unseen[0])
		}
	}
	tell(fmt.Sprintf("RetryWatcher: %d changes, each once", len(seen.changes)))
	return nil
}
