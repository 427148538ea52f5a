package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// Order is a handler that finds versions going back, of each object and of the informer as a whole.
type order struct {
	informer cache.SharedIndexInformer

	mu     sync.Mutex
	number int
	synced uint64
	// The last version of each object, deleted or not.
	last  map[string]uint64
	first error
}

func (o *order) OnAdd(object any, _ bool) {
	o.see("added", object, 1)
}

func (o *order) OnUpdate(old, object any) {
	if old.(metav1.Object).GetResourceVersion() == object.(metav1.Object).GetResourceVersion() {
		// A new list showed the object as it was.
		o.see("listed again", object, 0)
		return
	}
	o.see("updated", object, 1)
}

func (o *order) OnDelete(object any) {
	if unseen, is := object.(cache.DeletedFinalStateUnknown); is {
		// The deletion was not seen, a list without the object was.
		o.see("missed", unseen.Obj, 0)
		return
	}
	o.see("deleted", object, 1)
}

// See an object whose version must be at least so much over its last one.
func (o *order) see(what string, object any, over uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = map[string]uint64{}
	}
	o.number++
	it := object.(metav1.Object)
	now, err := version(it)
	if err != nil {
		o.fail(err)
	}
	if before := o.last[it.GetName()]; now < before+over {
		o.fail(fmt.Errorf("%s %s at %d after %d", it.GetName(), what, now, before))
	}
	o.last[it.GetName()] = now
	if text := o.informer.LastSyncResourceVersion(); text != "" {
		synced, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			o.fail(err)
		} else if synced < o.synced {
			o.fail(fmt.Errorf("it went back from %d to %d", o.synced, synced))
		}
		o.synced = synced
	}
}

func (o *order) fail(err error) {
	if o.first == nil {
		o.first = err
	}
}

func (o *order) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first
}

func (o *order) changes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.number
}

func byName(list runtime.Object, err error) (map[string]runtime.Object, error) {
	if err != nil {
		return nil, err
	}
	objects := map[string]runtime.Object{}
	err = meta.EachListItem(list, func(object runtime.Object) error {
		name, err := meta.NewAccessor().Name(object)
		objects[name] = object
		return err
	})
	return objects, err
}

// Content of an object but its kind, which typed clients leave away in lists.
func content(object any) (string, error) {
	bytes, err := json.Marshal(object)
	if err != nil {
		return "", err
	}
	var fields map[string]any
	if err := json.Unmarshal(bytes, &fields); err != nil {
		return "", err
	}
	delete(fields, "kind")
	delete(fields, "apiVersion")
	bytes, err = json.Marshal(fields)
	return string(bytes), err
}
