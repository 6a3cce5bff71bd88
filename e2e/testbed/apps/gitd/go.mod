module drover.dev/testbed/gitd

go 1.24
