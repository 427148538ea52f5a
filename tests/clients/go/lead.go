package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const ledFlunder = "led"

// Lead has two candidates for one Lease, which lies in the namespace of what the leader writes. The first leads and
// stops, then the second does: never both at once.
func lead(ctx context.Context, all *servers, args []string) error {
	namespace := args[0]
	clients, err := kubernetes.NewForConfig(all.aggregated)
	if err != nil {
		return err
	}
	flunders, err := flundersOf(all.aggregated, namespace)
	if err != nil {
		return err
	}
	if _, err := flunders.Create(ctx, newFlunder(ledFlunder, 0), metav1.CreateOptions{}); err != nil {
		return err
	}
	// Whoever leads takes the turn; two at once would find it taken.
	turn := make(chan struct{}, 1)
	candidate := func(number int) error {
		identity := fmt.Sprintf("candidate-%d", number)
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, ledFlunder,
			clients.CoreV1(), clients.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: identity})
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		led := make(chan error, 1)
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, Name: ledFlunder, ReleaseOnCancel: true,
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					defer stop()
					select {
					case turn <- struct{}{}:
					default:
						led <- errors.New("two lead at once")
						return
					}
					flunder, err := flunders.Get(ctx, ledFlunder, metav1.GetOptions{})
					if err == nil {
						metav1.SetMetaDataAnnotation(&flunder.ObjectMeta, identity, "led")
						_, err = flunders.Update(ctx, flunder, metav1.UpdateOptions{})
					}
					<-turn
					led <- err
				},
				OnStoppedLeading: func() {},
			},
		})
		return <-led
	}
	if err := each(2, candidate); err != nil {
		return err
	}
	flunder, err := flunders.Get(ctx, ledFlunder, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for number := range 2 {
		if flunder.Annotations[fmt.Sprintf("candidate-%d", number)] != "led" {
			return fmt.Errorf("only %v have led", flunder.Annotations)
		}
	}
	lease, err := clients.CoordinationV1().Leases(namespace).Get(ctx, ledFlunder, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if lease.Spec.LeaseTransitions == nil || *lease.Spec.LeaseTransitions < 1 {
		return fmt.Errorf("the Lease has not changed hands: %+v", lease.Spec)
	}
	return nil
}
