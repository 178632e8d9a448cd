# The base images are arguments, so that a release can pin them by digest:
#   docker build --build-arg RUST_IMAGE=rust:1.95-bookworm@sha256:… .
ARG NODE_IMAGE=node:22-bookworm-slim
ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

# The page
FROM ${NODE_IMAGE} AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN --mount=type=cache,id=tickwire-npm,target=/npm npm ci --cache /npm --no-audit --no-fund
COPY web ./
RUN npm run build

# The binary, with the page inside
FROM ${RUST_IMAGE} AS binary
RUN echo "Compiling Tickwire. The first start takes some minutes; later ones take much less."
WORKDIR /src
COPY . .
COPY --from=page /src/web/dist web/dist
# The folder /build outlives a build, so that only crates with changed files are compiled again.
# Files are copied there by content: their times may be older than those of another checkout that
# was built before, and cargo goes by times.
RUN --mount=type=cache,id=tickwire-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=tickwire-build,target=/build,sharing=locked \
    set -eu; \
    find . -type f | while read -r file; do \
        cmp -s "$file" "/build/$file" || install -m 644 -D "$file" "/build/$file"; \
    done; \
    cd /build; \
    find . -path ./target -prune -o -type f -print | while read -r file; do \
        test -e "/src/$file" || rm "$file"; \
    done; \
    cargo build --release --locked --package tickwire --target-dir target; \
    install target/release/tickwire /usr/local/bin/tickwire

FROM ${RUNTIME_IMAGE}
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tickwire \
    && install -d -o tickwire -m 700 /var/lib/tickwire \
    && install -d -o tickwire -m 700 /etc/tickwire
COPY --from=binary /usr/local/bin/tickwire /usr/local/bin/tickwire
# The authorities that sign the certificates of wss:// addresses
COPY --from=binary /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER tickwire
EXPOSE 8080
HEALTHCHECK --interval=2s --timeout=2s --retries=5 CMD ["tickwire", "healthcheck"]
ENTRYPOINT ["tickwire"]
# A simulated market, which clients may read. Publishing needs a token that no other process has.
CMD ["demo", "--listen", "0.0.0.0:8080", "--read-only"]
