package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	reconciledTickets = 30
	ticketFinalizer   = "tickets.example.com/reservation"
)

// Reconciler keeps a ConfigMap for each Ticket, which stands for something elsewhere: it must be gone before the
// Ticket is, hence the finalizer.
type reconciler struct {
	client.Client
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ticket := &Ticket{}
	if err := r.Get(ctx, request.NamespacedName, ticket); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	reservation := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: ticket.Name, Namespace: ticket.Namespace}}
	if !ticket.DeletionTimestamp.IsZero() {
		if err := r.Delete(ctx, reservation); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, err
		}
		if !controllerutil.RemoveFinalizer(ticket, ticketFinalizer) {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, client.IgnoreNotFound(r.Update(ctx, ticket))
	}
	if controllerutil.AddFinalizer(ticket, ticketFinalizer) {
		if err := r.Update(ctx, ticket); err != nil {
			return ctrl.Result{}, err
		}
	}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, reservation, func() error {
		reservation.Data = map[string]string{"seats": fmt.Sprint(ticket.Spec.Seats)}
		return nil
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	wanted := TicketStatus{Reserved: ticket.Spec.Seats, ObservedGeneration: ticket.Generation}
	if ticket.Status == wanted {
		return ctrl.Result{}, nil
	}
	ticket.Status = wanted
	return ctrl.Result{}, r.Status().Update(ctx, ticket)
}

// ReconcileTickets runs the reconciler over a life of some Tickets and a death of the server.
func reconcileTickets(ctx context.Context, all *servers, args []string) error {
	ctrl.SetLogger(funcr.New(func(prefix, args string) {
		fmt.Fprintln(os.Stderr, prefix, args)
	}, funcr.Options{LogTimestamp: true}))
	namespace := args[0]
	scheme := ticketScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return err
	}
	manager, err := ctrl.NewManager(all.aggregated, ctrl.Options{
		Scheme:  scheme,
		Cache:   cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(manager).For(&Ticket{}).Complete(&reconciler{manager.GetClient()})
	if err != nil {
		return err
	}
	// What a user sees, not what the manager's cache does.
	user, err := client.New(all.aggregated, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	managerCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(managerCtx) }()
	lived := live(ctx, client.NewNamespacedClient(user, namespace))
	stop()
	return errors.Join(lived, <-ended)
}

// Live is what a user does with Tickets.
func live(ctx context.Context, user client.Client) error {
	for i := range reconciledTickets {
		ticket := &Ticket{ObjectMeta: metav1.ObjectMeta{Name: ticketName(i)}, Spec: TicketSpec{Seats: 1}}
		if err := user.Create(ctx, ticket); err != nil {
			return err
		}
	}
	if err := awaitReconciled(ctx, user, 1, 1); err != nil {
		return err
	}
	tell("restart")
	if _, err := await(); err != nil {
		return err
	}
	for i := range reconciledTickets {
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			return retryLost(ctx, func() error {
				ticket := &Ticket{}
				if err := user.Get(ctx, client.ObjectKey{Name: ticketName(i)}, ticket); err != nil {
					return err
				}
				ticket.Spec.Seats = 2
				return user.Update(ctx, ticket)
			})
		})
		if err != nil {
			return err
		}
	}
	if err := awaitReconciled(ctx, user, 2, 2); err != nil {
		return err
	}
	for i := range reconciledTickets {
		if err := user.Delete(ctx, &Ticket{ObjectMeta: metav1.ObjectMeta{Name: ticketName(i)}}); err != nil {
			return err
		}
	}
	return awaitGone(ctx, user)
}

func ticketName(i int) string {
	return fmt.Sprintf("ticket-%02d", i)
}

// AwaitReconciled waits until every Ticket's status says what its spec does, and its ConfigMap too.
func awaitReconciled(ctx context.Context, user client.Client, seats, generation int64) error {
	return poll(ctx, func(ctx context.Context) error {
		tickets := &TicketList{}
		if err := user.List(ctx, tickets); err != nil {
			return err
		}
		if len(tickets.Items) != reconciledTickets {
			return fmt.Errorf("%d tickets", len(tickets.Items))
		}
		for _, ticket := range tickets.Items {
			wanted := TicketStatus{Reserved: seats, ObservedGeneration: generation}
			if ticket.Status != wanted || !controllerutil.ContainsFinalizer(&ticket, ticketFinalizer) {
				return fmt.Errorf("%s is not reconciled: %+v", ticket.Name, ticket)
			}
			reservation := &corev1.ConfigMap{}
			if err := user.Get(ctx, client.ObjectKey{Name: ticket.Name}, reservation); err != nil {
				return err
			}
			if reservation.Data["seats"] != fmt.Sprint(seats) {
				return fmt.Errorf("%s has reserved %v", ticket.Name, reservation.Data)
			}
		}
		return nil
	})
}

func awaitGone(ctx context.Context, user client.Client) error {
	return poll(ctx, func(ctx context.Context) error {
		tickets := &TicketList{}
		if err := user.List(ctx, tickets); err != nil {
			return err
		}
		if len(tickets.Items) > 0 {
			return fmt.Errorf("%d tickets are left, e.g. %+v", len(tickets.Items), tickets.Items[0])
		}
		for i := range reconciledTickets {
			err := user.Get(ctx, client.ObjectKey{Name: ticketName(i)}, &corev1.ConfigMap{})
			if !apierrors.IsNotFound(err) {
				return fmt.Errorf("the ConfigMap of %s: %v", ticketName(i), err)
			}
		}
		return nil
	})
}

// Poll asks until it is as wanted.
func poll(ctx context.Context, ask func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true,
		func(ctx context.Context) (bool, error) {
			last = ask(ctx)
			return last == nil, nil
		})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}
