package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/sample-apiserver/pkg/apis/wardle/v1beta1"
	flunders "k8s.io/sample-apiserver/pkg/generated/clientset/versioned/typed/wardle/v1beta1"
)

const (
	churnNamespace   = "default"
	churnWriters     = 20
	objectsPerWriter = 15
	changesPerWriter = 500
	// The last change of all, when every other one is done.
	sentinel = "sentinel"
)

// Change is one that was made. Its version is 0 where the answer was lost with the server.
type change struct {
	Name    string
	Type    watch.EventType
	Step    int
	Version uint64
}

// Churn makes 10,000 changes, says when it is halfway, and writes into a file what they were. It goes on over the
// server's death: each object has one writer, which finds out whether the change that it got no answer for was made.
func churn(ctx context.Context, all *servers, args []string) error {
	client, err := flundersOf(all.direct, churnNamespace)
	if err != nil {
		return err
	}
	var made, lost atomic.Int64
	journals := make([][]change, churnWriters)
	err = each(churnWriters, func(i int) error {
		w := &writer{client: client, made: &made, lost: &lost, random: rand.New(rand.NewPCG(uint64(i), 1))}
		for object := range objectsPerWriter {
			w.objects = append(w.objects, owned{name: fmt.Sprintf("churn-%02d-%02d", i, object)})
		}
		for range changesPerWriter {
			if err := w.change(ctx); err != nil {
				return fmt.Errorf("writer %d: %w", i, err)
			}
		}
		journals[i] = w.journal
		return nil
	})
	if err != nil {
		return err
	}
	last, err := client.Create(ctx, newFlunder(sentinel, 0), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	number, err := version(last)
	if err != nil {
		return err
	}
	var journal []change
	for _, it := range journals {
		journal = append(journal, it...)
	}
	journal = append(journal, change{sentinel, watch.Added, 0, number})
	bytes, err := json.Marshal(journal)
	if err != nil {
		return err
	}
	if err := os.WriteFile(args[0], bytes, 0o600); err != nil {
		return err
	}
	tell(fmt.Sprintf("made %d changes, %d of them without an answer", len(journal), lost.Load()))
	return nil
}

type writer struct {
	client     flunders.FlunderInterface
	random     *rand.Rand
	objects    []owned
	journal    []change
	made, lost *atomic.Int64
}

// Owned is an object that nobody else writes.
type owned struct {
	name string
	// How it is now; nil while it is not there.
	now  *v1beta1.Flunder
	next int
}

func (w *writer) change(ctx context.Context) error {
	it := &w.objects[w.random.IntN(len(w.objects))]
	made, err := w.write(ctx, it)
	for err != nil && isLost(err) {
		w.lost.Add(1)
		var is bool
		if made, is, err = w.find(ctx, it); err == nil && !is {
			made, err = w.write(ctx, it)
		}
	}
	if err != nil {
		return fmt.Errorf("change %d of %s: %w", it.next, it.name, err)
	}
	w.journal = append(w.journal, made)
	it.next++
	if w.made.Add(1) == churnWriters*changesPerWriter/2 {
		tell("half")
	}
	return nil
}

// Write makes the next change of an object. Every kind of write but the first names what it changes.
func (w *writer) write(ctx context.Context, it *owned) (change, error) {
	if it.now == nil {
		made, err := w.client.Create(ctx, newFlunder(it.name, it.next), metav1.CreateOptions{})
		return it.became(made, watch.Added, err)
	}
	// By the change's number, so that a second try is the same as the first.
	switch kind := (it.next*7 + len(it.name)) % 10; {
	case kind == 0:
		options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{
			UID: &it.now.UID, ResourceVersion: &it.now.ResourceVersion,
		}}
		if err := w.client.Delete(ctx, it.name, options); err != nil {
			return change{}, err
		}
		it.now = nil
		// The answer does not say the version of the deletion.
		return change{it.name, watch.Deleted, it.next - 1, 0}, nil
	case kind < 5:
		number := strconv.Itoa(it.next)
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{
				"resourceVersion": it.now.ResourceVersion, "annotations": map[string]string{step: number},
			},
			"spec": map[string]string{"flunderReference": number},
		})
		if err != nil {
			return change{}, err
		}
		made, err := w.client.Patch(ctx, it.name, types.MergePatchType, patch, metav1.PatchOptions{})
		return it.became(made, watch.Modified, err)
	default:
		wanted := it.now.DeepCopy()
		setStep(wanted, it.next)
		made, err := w.client.Update(ctx, wanted, metav1.UpdateOptions{})
		return it.became(made, watch.Modified, err)
	}
}

func (it *owned) became(made *v1beta1.Flunder, kind watch.EventType, err error) (change, error) {
	if err != nil {
		return change{}, err
	}
	number, err := version(made)
	it.now = made
	return change{it.name, kind, it.next, number}, err
}

// Find waits for the server and says whether the change was made that it did not answer.
func (w *writer) find(ctx context.Context, it *owned) (change, bool, error) {
	var found *v1beta1.Flunder
	err := retryLost(ctx, func() (err error) {
		found, err = w.client.Get(ctx, it.name, metav1.GetOptions{})
		return err
	})
	switch {
	case errors.IsNotFound(err) && it.now == nil:
		return change{}, false, nil
	case errors.IsNotFound(err):
		it.now = nil
		return change{it.name, watch.Deleted, it.next - 1, 0}, true, nil
	case err != nil:
		return change{}, false, err
	case it.now != nil && found.ResourceVersion == it.now.ResourceVersion:
		return change{}, false, nil
	case found.Annotations[step] != strconv.Itoa(it.next):
		return change{}, false, fmt.Errorf("it shows step %s", found.Annotations[step])
	}
	kind := watch.Modified
	if it.now == nil {
		kind = watch.Added
	}
	made, err := it.became(found, kind, nil)
	return made, true, err
}
