module drover.dev/testbed/hello

go 1.24
