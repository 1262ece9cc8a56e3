WHO = "headers"
