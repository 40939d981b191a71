import { Router } from 'express';
import swaggerUi from 'swagger-ui-express';
import { openApiDocument } from './reference/document.ts';
import { routes } from './routes/index.ts';

/** `GET /openapi.json`, and `GET /docs` to browse it; both need no key and nothing from outside. */
export function reference(): Router {
  const router = Router();
  const document = openApiDocument(routes);
  router.get('/openapi.json', (_request, response) => {
    response.json(document);
  });
  router.use('/docs', swaggerUi.serve, swaggerUi.setup(undefined, { swaggerOptions: { url: '/openapi.json' } }));
  return router;
}
