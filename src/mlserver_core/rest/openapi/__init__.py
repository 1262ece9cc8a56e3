"""OpenAPI documents of the server and of each model, made of the routes and the types."""
