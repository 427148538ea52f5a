package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"
	"k8s.io/sample-apiserver/pkg/apis/wardle/v1beta1"
	flunders "k8s.io/sample-apiserver/pkg/generated/clientset/versioned/typed/wardle/v1beta1"
)

const (
	pagedObjects = 200
	pageSize     = 20
)

// Page lists by pages while, between any two of them, objects of every page are changed, deleted and made.
func page(ctx context.Context, all *servers, args []string) error {
	for i, config := range []*rest.Config{all.aggregated, all.direct} {
		if err := pageBy(ctx, config, args[i]); err != nil {
			return err
		}
	}
	return nil
}

func pageBy(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := flundersOf(config, namespace)
	if err != nil {
		return err
	}
	err = each(pageSize, func(i int) error {
		for n := i; n < pagedObjects; n += pageSize {
			if _, err := client.Create(ctx, newFlunder(pagedName(n), 0), metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	before, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var pages []string
	lister := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		list, err := client.List(ctx, options)
		if err != nil {
			return nil, err
		}
		pages = append(pages, list.ResourceVersion)
		return list, disturb(ctx, client, len(pages))
	})
	lister.PageSize = pageSize
	var read []v1beta1.Flunder
	err = lister.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		read = append(read, *object.(*v1beta1.Flunder))
		return nil
	})
	if err != nil {
		return err
	}
	for _, it := range pages {
		if it != before.ResourceVersion {
			return fmt.Errorf("pages at the revisions %v, the list was at %s", pages, before.ResourceVersion)
		}
	}
	if len(pages) != pagedObjects/pageSize || len(read) != len(before.Items) {
		return fmt.Errorf("%d pages, %d of %d objects", len(pages), len(read), len(before.Items))
	}
	for i := range read {
		if read[i].Name != before.Items[i].Name || read[i].ResourceVersion != before.Items[i].ResourceVersion {
			return fmt.Errorf("the pages have %s at %s, the list %s at %s", read[i].Name, read[i].ResourceVersion,
				before.Items[i].Name, before.Items[i].ResourceVersion)
		}
	}
	tell(fmt.Sprintf("%d objects in %d pages, all at %s", len(read), len(pages), pages[0]))
	return nil
}

func pagedName(number int) string {
	return fmt.Sprintf("paged-%03d", number)
}

// Disturb what the pages after this one, and those before it, hold.
func disturb(ctx context.Context, client flunders.FlunderInterface, page int) error {
	return each(pagedObjects/pageSize, func(of int) error {
		first := of*pageSize + page%(pageSize/2)
		changed, err := client.Get(ctx, pagedName(first), metav1.GetOptions{})
		if err != nil {
			return err
		}
		setStep(changed, page)
		if _, err := client.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
			return err
		}
		if page <= pageSize/2 {
			doomed := pagedName(of*pageSize + pageSize/2 + page - 1)
			if err := client.Delete(ctx, doomed, metav1.DeleteOptions{}); err != nil {
				return err
			}
		}
		made := fmt.Sprintf("%s-%d", pagedName(first), page)
		_, err = client.Create(ctx, newFlunder(made, page), metav1.CreateOptions{})
		return err
	})
}
