package main

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/sample-apiserver/pkg/apis/wardle/v1beta1"
	"k8s.io/sample-apiserver/pkg/generated/clientset/versioned"
	flunders "k8s.io/sample-apiserver/pkg/generated/clientset/versioned/typed/wardle/v1beta1"
)

var flunderResource = schema.GroupVersionResource{
	Group: "wardle.example.com", Version: "v1beta1", Resource: "flunders",
}

// How many changes an object has seen before this one: each writer counts its own.
const step = "step"

func newFlunder(name string, number int) *v1beta1.Flunder {
	flunder := &v1beta1.Flunder{ObjectMeta: metav1.ObjectMeta{Name: name}}
	setStep(flunder, number)
	return flunder
}

// SetStep shows the number in metadata and content: neither may lag behind the other.
func setStep(flunder *v1beta1.Flunder, number int) {
	metav1.SetMetaDataAnnotation(&flunder.ObjectMeta, step, strconv.Itoa(number))
	flunder.Spec.ReferenceType = v1beta1.FlunderReferenceType
	flunder.Spec.FlunderReference = strconv.Itoa(number)
}

func flundersOf(config *rest.Config, namespace string) (flunders.FlunderInterface, error) {
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return clients.WardleV1beta1().Flunders(namespace), nil
}

// Version of an object or a list, as the number that it is.
func version(of interface{ GetResourceVersion() string }) (uint64, error) {
	return strconv.ParseUint(of.GetResourceVersion(), 10, 64)
}
