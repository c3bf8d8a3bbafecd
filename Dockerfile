# One image for every process; the command picks one (see Procfile). PostgreSQL and the broker come from the environment.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SEQUITUR_HOME=/var/lib/sequitur LOG_JSON=1
RUN useradd --system --uid 10001 --home-dir /var/lib/sequitur --create-home sequitur
WORKDIR /srv/sequitur
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY manage.py Procfile ./
COPY platform platform
COPY apps apps
COPY ml ml
COPY templates templates
# At run time nothing is written here, and every start would compile all of it again.
RUN python -m compileall -q platform apps ml

USER sequitur
VOLUME /var/lib/sequitur
EXPOSE 8000
CMD ["python", "-m", "gunicorn", "--config", "platform/config/web.py", "--bind", "0.0.0.0:8000", "--threads", "8"]
