# The gateway, without compilers, tests and development tools, as a user of its own.

FROM node:20-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
COPY routes ./routes
# What the package's "build" does, without test/.
RUN npx tsc

FROM node:20-bookworm-slim AS dependencies
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json LICENSE ./
# The embedded database lies in data/ below the working folder.
RUN mkdir data && chown node:node data
USER node
VOLUME /app/data
EXPOSE 4242
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.SLUICE_LISTEN_PORT || 4242}/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node as process 1 handles the signals itself: SIGTERM stops it gracefully.
CMD ["node", "--enable-source-maps", "dist/src/main.js"]
