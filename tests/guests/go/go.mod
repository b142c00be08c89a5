module brig.example/guest

go 1.21
