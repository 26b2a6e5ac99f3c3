module cfutures.example

go 1.19
