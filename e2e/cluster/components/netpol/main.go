// The node's NetworkPolicies: kube-network-policies with a kubeconfig, since its own program runs in a pod only.
// It decides over the first packet of each connection, as it comes to the queue (node.sh).
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"syscall"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	node := flag.String("node", "", "this node's name")
	queue := flag.Int("queue", 100, "the number of the netfilter queue")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := enforce(ctx, *kubeconfig, networkpolicy.Config{NodeName: *node, QueueID: *queue}); err != nil {
		log.Fatal(err)
	}
}

func enforce(ctx context.Context, kubeconfig string, policies networkpolicy.Config) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	known := informers.NewSharedInformerFactory(client, 0)
	core := known.Core().V1()
	// The nils are for policies of administrators, which are off.
	controller, err := networkpolicy.NewController(client, known.Networking().V1().NetworkPolicies(),
		core.Namespaces(), core.Pods(), nil, nil, nil, nil, policies)
	if err != nil {
		return err
	}
	known.Start(ctx.Done())
	return controller.Run(ctx)
}
