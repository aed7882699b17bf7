// The header tells the service that a request comes from one of its own pages.
SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#contract",
  deepLinking: true,
  displayOperationId: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.headers["X-Beamctl"] = "1";
    return request;
  },
});
