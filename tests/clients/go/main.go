// Client libraries in Go that use Outrigger as any other API server: one command for each thing that they do.
//
// The harness starts a command, reads its lines from standard output and answers on standard input. A command that
// found what it expects ends with 0.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Nothing here takes longer, on the slowest machine that tests run on.
const deadline = 8 * time.Minute

// Servers are the two ways to Outrigger.
type servers struct {
	// Behind kube-apiserver's aggregation layer, as users reach it; it serves Kubernetes' own resources too.
	aggregated *rest.Config
	// Outrigger's own port: for load that kube-apiserver need not share.
	direct *rest.Config
}

var commands = map[string]func(context.Context, *servers, []string) error{
	"churn":     churn,
	"observe":   observe,
	"page":      page,
	"lead":      lead,
	"count":     count,
	"patch":     patchAndApply,
	"reconcile": reconcileTickets,
}

func main() {
	aggregated := flag.String("aggregated", "", "kubeconfig of kube-apiserver")
	direct := flag.String("direct", "", "kubeconfig of Outrigger itself")
	flag.Parse()
	command := commands[flag.Arg(0)]
	if command == nil {
		fail(fmt.Errorf("no command %q", flag.Arg(0)))
	}
	all := &servers{}
	var err error
	if all.aggregated, err = config(*aggregated); err != nil {
		fail(err)
	}
	if all.direct, err = config(*direct); err != nil {
		fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := command(ctx, all, flag.Args()[1:]); err != nil {
		fail(err)
	}
}

func config(path string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, err
	}
	// Whoever waits for a limit of the client's own tests that limit.
	config.QPS = -1
	return config, nil
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "error: %v\n", err)
	os.Exit(1)
}

var answers = bufio.NewScanner(os.Stdin)

// Tell says something to the harness.
func tell(line string) {
	fmt.Println(line)
}

// Await reads the harness' next line.
func await() (string, error) {
	if !answers.Scan() {
		return "", fmt.Errorf("the harness says nothing more: %v", answers.Err())
	}
	return answers.Text(), nil
}

// Each runs work for 0 to n-1 at once and returns what went wrong first.
func each(n int, work func(int) error) error {
	results := make(chan error, n)
	for i := range n {
		go func() { results <- work(i) }()
	}
	for range n {
		if err := <-results; err != nil {
			return err
		}
	}
	return nil
}
