module sluice/testsuite/stack/pause

go 1.26.8
