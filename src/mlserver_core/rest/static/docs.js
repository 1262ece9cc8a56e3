// Shows the document that the page names. `validatorUrl: null` keeps Swagger UI from asking a
// validator on the internet.
const place = document.getElementById("swagger-ui");
SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
