module go-filter

go 1.24
