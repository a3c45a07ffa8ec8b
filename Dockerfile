# syntax=docker/dockerfile:1

# Types are stripped and checked once, here; the image runs plain JavaScript.
FROM node:24-trixie-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY types ./types
COPY src ./src
RUN npm run build

FROM node:24-trixie-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The pinned Node of package.json is optional and left out: the base image brings its own.
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional --ignore-scripts
# For the admin socket where nothing is mounted; the last stage has no shell to make it.
RUN mkdir -p /run/sallyport

FROM gcr.io/distroless/nodejs24-debian13:nonroot
LABEL org.opencontainers.image.title="sallyport" \
      org.opencontainers.image.description="A backend-for-frontend session gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=dependencies --chown=65532:65532 /run/sallyport /run/sallyport
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /src/dist ./dist
COPY package.json LICENSE ./
COPY bin ./bin
ENV NODE_ENV=production
USER 65532:65532
EXPOSE 8080 9090
# No debugger by signal; a prototype cannot be reached through __proto__.
ENTRYPOINT ["/nodejs/bin/node", "--enable-source-maps", "--disable-proto=throw", "--disable-sigusr1", "/app/bin/sallyport.mjs"]
CMD ["serve", "--config", "/etc/sallyport/config.yaml"]
