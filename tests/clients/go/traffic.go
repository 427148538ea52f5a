package main

import (
	"net/http"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

// Traffic counts what one client sends and gets.
type traffic struct {
	mu sync.Mutex
	// GETs of collections by how they read: list, watch, or a watch that begins with a list.
	lists, watches, watchLists int
	// Answers to them by media type.
	types map[string]int
}

// Of gives a copy of the configuration whose requests are counted.
func (t *traffic) of(config *rest.Config) *rest.Config {
	t.types = map[string]int{}
	counted := rest.CopyConfig(config)
	counted.Wrap(func(next http.RoundTripper) http.RoundTripper { return counter{t, next} })
	return counted
}

type counter struct {
	*traffic
	next http.RoundTripper
}

func (c counter) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := c.next.RoundTrip(request)
	c.mu.Lock()
	defer c.mu.Unlock()
	query := request.URL.Query()
	switch {
	case query.Get("sendInitialEvents") == "true":
		c.watchLists++
	case query.Get("watch") != "":
		c.watches++
	default:
		c.lists++
	}
	if err == nil && answer.StatusCode == http.StatusOK {
		media, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
		c.types[media]++
	}
	return answer, err
}
