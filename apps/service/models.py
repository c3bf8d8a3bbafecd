"""All tables of the application; each topic keeps its own."""

from apps.service.knowledge.models import Chunk, KnowledgeImport, Source, SourceVersion, TermCount

__all__ = ["Chunk", "KnowledgeImport", "Source", "SourceVersion", "TermCount"]
