package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"k8s.io/sample-apiserver/pkg/apis/wardle/v1beta1"
	applyv1beta1 "k8s.io/sample-apiserver/pkg/generated/applyconfiguration/wardle/v1beta1"
	flunders "k8s.io/sample-apiserver/pkg/generated/clientset/versioned/typed/wardle/v1beta1"
)

const (
	contenders = 20
	// Increments by each of them.
	increments = 100
	// Patches by each of them.
	patches   = 50
	contended = "contended"
)

// Patient has more tries than client-go's default, which gives up after five, and pauses that let the others write.
var patient = wait.Backoff{Steps: 10_000, Duration: 100 * time.Millisecond, Factor: 1, Jitter: 1}

// Half of the contenders go through kube-apiserver.
func contender(all *servers, number int, namespace string) (flunders.FlunderInterface, error) {
	return flundersOf([]*rest.Config{all.aggregated, all.direct}[number%2], namespace)
}

// Count with 20 writers who read, add one, write, and begin again at a conflict.
func count(ctx context.Context, all *servers, args []string) error {
	client, err := flundersOf(all.direct, args[0])
	if err != nil {
		return err
	}
	if _, err := client.Create(ctx, newFlunder(contended, 0), metav1.CreateOptions{}); err != nil {
		return err
	}
	var tries atomic.Int64
	err = each(contenders, func(i int) error {
		client, err := contender(all, i, args[0])
		if err != nil {
			return err
		}
		for range increments {
			err := retry.RetryOnConflict(patient, func() error {
				tries.Add(1)
				flunder, err := client.Get(ctx, contended, metav1.GetOptions{})
				if err != nil {
					return err
				}
				now, err := strconv.Atoi(flunder.Annotations[step])
				if err != nil {
					return err
				}
				setStep(flunder, now+1)
				_, err = client.Update(ctx, flunder, metav1.UpdateOptions{})
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	end, err := client.Get(ctx, contended, metav1.GetOptions{})
	if err != nil {
		return err
	}
	wanted := strconv.Itoa(contenders * increments)
	if end.Annotations[step] != wanted || end.Spec.FlunderReference != wanted {
		return fmt.Errorf("counted to %s and %s", end.Annotations[step], end.Spec.FlunderReference)
	}
	if tries.Load() == contenders*increments {
		return fmt.Errorf("there was no conflict: the writers did not contend")
	}
	tell(fmt.Sprintf("%s counted by %d tries", wanted, tries.Load()))
	return nil
}

// PatchAndApply has 20 writers of one object, each of an annotation of its own, without a version: the server merges
// them all. A watch sees each of them once.
func patchAndApply(ctx context.Context, all *servers, args []string) error {
	client, err := flundersOf(all.direct, args[0])
	if err != nil {
		return err
	}
	made, err := client.Create(ctx, newFlunder(contended, 0), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	err = each(contenders, func(i int) error {
		client, err := contender(all, i, args[0])
		if err != nil {
			return err
		}
		key := fmt.Sprintf("writer-%02d", i)
		for number := 1; number <= patches; number++ {
			if err := writePart(ctx, client, args[0], i/2, key, strconv.Itoa(number)); err != nil {
				return fmt.Errorf("%s, number %d: %w", key, number, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	watcher, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: made.ResourceVersion})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	return checkParts(watcher)
}

// WritePart in one of four ways.
func writePart(
	ctx context.Context, client flunders.FlunderInterface, namespace string, way int, key, value string,
) error {
	merge, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{key: value}},
	})
	if err != nil {
		return err
	}
	switch way % 4 {
	case 0:
		_, err = client.Patch(ctx, contended, types.MergePatchType, merge, metav1.PatchOptions{})
	case 1:
		_, err = client.Patch(ctx, contended, types.StrategicMergePatchType, merge, metav1.PatchOptions{})
	case 2:
		add := []map[string]string{{"op": "add", "path": "/metadata/annotations/" + key, "value": value}}
		var patch []byte
		if patch, err = json.Marshal(add); err != nil {
			return err
		}
		_, err = client.Patch(ctx, contended, types.JSONPatchType, patch, metav1.PatchOptions{})
	default:
		wanted := applyv1beta1.Flunder(contended, namespace).WithAnnotations(map[string]string{key: value})
		_, err = client.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: key})
	}
	return err
}

// CheckParts reads all changes: each is one writer's next number.
func checkParts(watcher watch.Interface) error {
	seen := map[string]int{}
	for total := 0; total < contenders*patches; total++ {
		event, is := <-watcher.ResultChan()
		if !is {
			return fmt.Errorf("the watch ended after %d changes", total)
		}
		flunder, is := event.Object.(*v1beta1.Flunder)
		if !is || event.Type != watch.Modified {
			return fmt.Errorf("%s with %+v", event.Type, event.Object)
		}
		stepped := 0
		for i := range contenders {
			key := fmt.Sprintf("writer-%02d", i)
			now, _ := strconv.Atoi(flunder.Annotations[key])
			switch now - seen[key] {
			case 0:
			case 1:
				stepped++
			default:
				return fmt.Errorf("%s went from %d to %d", key, seen[key], now)
			}
			seen[key] = now
		}
		if stepped != 1 {
			return fmt.Errorf("%d writers are in the change to %s", stepped, flunder.ResourceVersion)
		}
	}
	tell(fmt.Sprintf("%d patches and applies, none lost", contenders*patches))
	return nil
}
