"""What is learned: the network, how it is trained, judged and promoted."""
