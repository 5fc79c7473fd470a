# One image for every process of Gantry; docker-compose.yml says which runs what.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    GANTRY_DATA_DIR=/data \
    GANTRY_BIND=0.0.0.0

WORKDIR /app
COPY requirements.txt constraints.txt ./
RUN pip install -r requirements.txt

# The static files are served from the packages as they are: there is nothing to collect.
COPY . .
RUN python -m compileall -q . \
 && useradd --system --home-dir /data --create-home --uid 10001 gantry && chmod 700 /data
USER gantry
VOLUME /data
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://localhost:{os.environ.get('PORT', 8000)}/healthz\", timeout=4)"]
CMD ["python", "-m", "gantry_site.serve"]
