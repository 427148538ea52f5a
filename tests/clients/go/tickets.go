package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var ticketVersion = schema.GroupVersion{Group: "tickets.example.com", Version: "v1"}

// Ticket is the resource of the plugin tests/guests/examples/tickets.rs.
type Ticket struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              TicketSpec   `json:"spec,omitempty"`
	Status            TicketStatus `json:"status,omitempty"`
}

// TicketSpec is what somebody wants.
type TicketSpec struct {
	Seats int64 `json:"seats,omitempty"`
}

// TicketStatus is what the reconciler has done.
type TicketStatus struct {
	Reserved           int64 `json:"reserved,omitempty"`
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// TicketList is a list of Tickets.
type TicketList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Ticket `json:"items"`
}

func (t *Ticket) deepCopy() *Ticket {
	other := *t
	t.ObjectMeta.DeepCopyInto(&other.ObjectMeta)
	return &other
}

// DeepCopyObject makes it a runtime.Object.
func (t *Ticket) DeepCopyObject() runtime.Object {
	return t.deepCopy()
}

// DeepCopyObject makes it a runtime.Object.
func (t *TicketList) DeepCopyObject() runtime.Object {
	other := *t
	t.ListMeta.DeepCopyInto(&other.ListMeta)
	other.Items = make([]Ticket, len(t.Items))
	for i := range t.Items {
		other.Items[i] = *t.Items[i].deepCopy()
	}
	return &other
}

func ticketScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(ticketVersion, &Ticket{}, &TicketList{})
	metav1.AddToGroupVersion(scheme, ticketVersion)
	return scheme
}
