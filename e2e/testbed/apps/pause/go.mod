module drover.dev/testbed/pause

go 1.24
