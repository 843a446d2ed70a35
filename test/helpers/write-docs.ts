/** Stores the generated pages in docs/; run by `npm run docs` from the root of the repository. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { renderConfigurationDocs } from '../../src/config/docs.ts';

mkdirSync('docs', { recursive: true });
writeFileSync('docs/configuration.md', renderConfigurationDocs());
