module kubewright.lab/components/probe

go 1.26.0
