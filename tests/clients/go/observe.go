package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/features"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/sample-apiserver/pkg/generated/clientset/versioned"
	"k8s.io/sample-apiserver/pkg/generated/informers/externalversions"
)

// Observe keeps an informer of each kind and a RetryWatcher over all that churn does, then compares: the caches with
// a list, and what the RetryWatcher saw with what was done. Whether the informers begin with a WatchList is up to the
// environment, as for every user of client-go.
func observe(ctx context.Context, all *servers, _ []string) error {
	client, err := flundersOf(all.direct, churnNamespace)
	if err != nil {
		return err
	}
	begin, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	informers, err := startInformers(ctx, all)
	if err != nil {
		return err
	}
	watcher, err := startRetryWatcher(ctx, all.aggregated, begin.ResourceVersion)
	if err != nil {
		return err
	}
	tell("synced")

	path, err := await()
	if err != nil {
		return err
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var journal []change
	if err := json.Unmarshal(bytes, &journal); err != nil {
		return err
	}
	if err := watcher.compare(ctx, journal); err != nil {
		return fmt.Errorf("RetryWatcher: %w", err)
	}
	for _, it := range informers {
		if err := it.compare(ctx); err != nil {
			return fmt.Errorf("the %s informer: %w", it.name, err)
		}
		tell(it.summary())
	}
	return nil
}

// Observed is an informer, and how to list what it should hold.
type observed struct {
	name     string
	informer cache.SharedIndexInformer
	// The objects by name, as the same client lists them.
	list    func(context.Context) (map[string]runtime.Object, error)
	traffic *traffic
	order   order
}

func startInformers(ctx context.Context, all *servers) ([]*observed, error) {
	kinds := []struct {
		name   string
		config *rest.Config
		of     func(*rest.Config) (*observed, error)
		media  string
	}{
		{"generated", all.aggregated, generated, runtime.ContentTypeJSON},
		{"dynamic", all.direct, dynamicOf, runtime.ContentTypeJSON},
		{"metadata", all.aggregated, metadataOf, runtime.ContentTypeProtobuf},
	}
	var informers []*observed
	for _, kind := range kinds {
		counts := &traffic{}
		it, err := kind.of(counts.of(kind.config))
		if err != nil {
			return nil, err
		}
		it.name, it.traffic = kind.name, counts
		it.order.informer = it.informer
		if _, err := it.informer.AddEventHandler(&it.order); err != nil {
			return nil, err
		}
		go it.informer.RunWithContext(ctx)
		if !cache.WaitForCacheSync(ctx.Done(), it.informer.HasSynced) {
			return nil, fmt.Errorf("the %s informer has not synced", kind.name)
		}
		if err := counts.check(kind.media); err != nil {
			return nil, fmt.Errorf("the %s informer: %w", kind.name, err)
		}
		informers = append(informers, it)
	}
	return informers, nil
}

// Check that the informer began as it was told to, in the media type of its kind.
func (t *traffic) check(media string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	wanted := t.watchLists == 0 && t.lists > 0
	if features.FeatureGates().Enabled(features.WatchListClient) {
		wanted = t.watchLists > 0 && t.lists == 0
	}
	if !wanted || t.types[media] == 0 || len(t.types) != 1 {
		return fmt.Errorf("it began with %d lists and %d lists by watch, as %v", t.lists, t.watchLists, t.types)
	}
	return nil
}

func generated(config *rest.Config) (*observed, error) {
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	client := clients.WardleV1beta1().Flunders(churnNamespace)
	factory := externalversions.NewSharedInformerFactoryWithOptions(
		clients, 0, externalversions.WithNamespace(churnNamespace))
	return &observed{
		informer: factory.Wardle().V1beta1().Flunders().Informer(),
		list:     listing(client.List),
	}, nil
}

func dynamicOf(config *rest.Config) (*observed, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, churnNamespace, nil)
	return &observed{
		informer: factory.ForResource(flunderResource).Informer(),
		list:     listing(client.Resource(flunderResource).Namespace(churnNamespace).List),
	}, nil
}

func metadataOf(config *rest.Config) (*observed, error) {
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := metadatainformer.NewFilteredSharedInformerFactory(client, 0, churnNamespace, nil)
	return &observed{
		informer: factory.ForResource(flunderResource).Informer(),
		list:     listing(client.Resource(flunderResource).Namespace(churnNamespace).List),
	}, nil
}

// Listing is all that a client's List tells, by name.
func listing[L runtime.Object](
	list func(context.Context, metav1.ListOptions) (L, error),
) func(context.Context) (map[string]runtime.Object, error) {
	return func(ctx context.Context) (map[string]runtime.Object, error) {
		listed, err := list(ctx, metav1.ListOptions{})
		return byName(listed, err)
	}
}

// Compare waits until the cache equals a list.
func (it *observed) compare(ctx context.Context) error {
	err := poll(ctx, func(ctx context.Context) error {
		listed, err := it.list(ctx)
		if err != nil {
			return err
		}
		return it.difference(listed)
	})
	if err := errors.Join(it.order.err(), err); err != nil {
		return err
	}
	if it.order.changes() == 0 {
		return errors.New("it has seen no change")
	}
	return nil
}

func (it *observed) difference(listed map[string]runtime.Object) error {
	cached := it.informer.GetStore().List()
	if len(cached) != len(listed) {
		return fmt.Errorf("it holds %d objects, the list %d", len(cached), len(listed))
	}
	for _, object := range cached {
		name := object.(metav1.Object).GetName()
		mine, err := content(object)
		if err != nil {
			return err
		}
		theirs, err := content(listed[name])
		if err != nil {
			return err
		}
		if mine != theirs {
			return fmt.Errorf("%s is\n%s\nin the cache and\n%s\nin the list", name, mine, theirs)
		}
	}
	return nil
}

func (it *observed) summary() string {
	it.traffic.mu.Lock()
	defer it.traffic.mu.Unlock()
	return fmt.Sprintf("%s informer: %d changes seen, %d lists, %d lists by watch, %d watches",
		it.name, it.order.changes(), it.traffic.lists, it.traffic.watchLists, it.traffic.watches)
}
