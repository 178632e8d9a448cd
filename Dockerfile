# The page
FROM node:22-bookworm-slim AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

# The binary, with the page inside
FROM rust:1.95-bookworm AS binary
WORKDIR /src
COPY . .
COPY --from=page /src/web/dist web/dist
RUN cargo build --release --locked --package tickwire

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tickwire \
    && install -d -o tickwire /var/lib/tickwire \
    && install -d -o tickwire -m 700 /etc/tickwire
COPY --from=binary /src/target/release/tickwire /usr/local/bin/tickwire
# The authorities behind wss:// addresses of others
COPY --from=binary /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER tickwire
EXPOSE 8080
HEALTHCHECK --interval=2s --timeout=2s --retries=5 CMD ["tickwire", "healthcheck"]
ENTRYPOINT ["tickwire"]
CMD ["demo", "--listen", "0.0.0.0:8080", "--open"]
