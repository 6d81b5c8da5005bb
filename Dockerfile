# Serves models from a mounted folder: docker run -p 8000:8000 -v ~/.cache/beige:/models IMAGE
# Not built where Beige is developed, which has no container engine.
FROM python:3.12-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY src ./src
RUN pip install --no-cache-dir '.[serve]' && useradd --create-home --uid 1000 beige && mkdir /models && chown beige /models

USER beige
ENV BEIGE_HOME=/models HF_HUB_DISABLE_TELEMETRY=1
EXPOSE 8000
# Needs a key: docker run --rm -v ~/.cache/beige:/models IMAGE key create team --scope read
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8000/health/ready')"]
ENTRYPOINT ["beige"]
CMD ["serve", "--host", "0.0.0.0"]
