# The base images are arguments, so that a release can pin them by digest:
#   docker build --build-arg RUST_IMAGE=rust:1.95-bookworm@sha256:… .
ARG NODE_IMAGE=node:22-bookworm-slim
ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

# The page
FROM ${NODE_IMAGE} AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

# The binary, with the page inside
FROM ${RUST_IMAGE} AS binary
WORKDIR /src
COPY . .
COPY --from=page /src/web/dist web/dist
RUN cargo build --release --locked --package tickwire

FROM ${RUNTIME_IMAGE}
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tickwire \
    && install -d -o tickwire -m 700 /var/lib/tickwire \
    && install -d -o tickwire -m 700 /etc/tickwire
COPY --from=binary /src/target/release/tickwire /usr/local/bin/tickwire
# The authorities that sign the certificates of wss:// addresses
COPY --from=binary /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER tickwire
EXPOSE 8080
HEALTHCHECK --interval=2s --timeout=2s --retries=5 CMD ["tickwire", "healthcheck"]
ENTRYPOINT ["tickwire"]
# A simulated market, which clients may read. Publishing needs a token that no other process has.
CMD ["demo", "--listen", "0.0.0.0:8080", "--read-only"]
