//! Behind a real kube-apiserver.
